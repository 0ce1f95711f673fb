<?php
// Prints a token and its hash as generateTokenString and createToken of Laravel Sanctum 4.0 make them, and
// password hashes of PHP.

$entropy = '';
while (strlen($entropy) < 40) {
    $entropy .= substr(str_replace(['/', '+', '='], '', base64_encode(random_bytes(40))), 0, 40 - strlen($entropy));
}
$token = sprintf('%s%s%s', '', $entropy, hash('crc32b', $entropy));
echo $token, ' ', hash('sha256', $token), "\n";

$secret = '0123456789abcdefghijABCDEFGHIJKL';
echo password_hash($secret, PASSWORD_BCRYPT, ['cost' => 4]), "\n";
echo password_hash($secret, PASSWORD_ARGON2ID, ['memory_cost' => 64, 'time_cost' => 1, 'threads' => 1]), "\n";
