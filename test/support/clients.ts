/**
 * Fails if a client that the tests use is missing where all of them must be there: `.ci/run` sets
 * `COMFYRPC_REQUIRE_CLIENTS`. Elsewhere the tests that need it are skipped.
 */
export function requireClients(name: string, isInstalled: boolean): void {
  if (!isInstalled && process.env.COMFYRPC_REQUIRE_CLIENTS === "true") {
    throw new Error(
      `${name} is not installed, and COMFYRPC_REQUIRE_CLIENTS forbids to skip the tests that need it`,
    );
  }
}
