// The address and token of the server under test, and checks for the programs.

declare const process: { env: Record<string, string | undefined> };

function variable(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
}

export const url = variable("CLIENTS_URL");
export const token = variable("CLIENTS_TOKEN");

export function check(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message);
}

/** Returns the data of a response, which must be successful. */
export function data<T>(response: { data?: T; error?: unknown }): NonNullable<T> {
  check(response.data !== undefined && response.data !== null, JSON.stringify(response.error));
  return response.data;
}
