# Functions that list the workspace's crates, for the other scripts. Source it from the root.
# shellcheck shell=bash

# Prints the manifest of each crate that users build, libraries first.
manifests() {
    local manifest
    for manifest in crates/*/Cargo.toml; do
        [[ -e ${manifest%Cargo.toml}src/lib.rs ]] && echo "$manifest"
    done
    for manifest in crates/*/Cargo.toml; do
        [[ -e ${manifest%Cargo.toml}src/lib.rs ]] || echo "$manifest"
    done
}

# package MANIFEST: prints the package's name.
package() {
    sed -n 's/^name = "\(.*\)"/\1/p' "$1" | head -n 1
}

# target MANIFEST: prints cargo's option for what the package builds.
target() {
    [[ -e ${1%Cargo.toml}src/lib.rs ]] && echo --lib || echo --bins
}

# libraries: prints the packages that are libraries, one a line.
libraries() {
    local manifest
    manifests | while read -r manifest; do
        [[ $(target "$manifest") == --lib ]] && package "$manifest"
    done
    return 0
}

# features MANIFEST: prints the package's features, one a line.
features() {
    awk '/^\[/ { inside = $0 == "[features]" }
        inside && /^[a-z0-9_-]+ *=/ { print $1 }' "$1"
}
