/** The command line asks for something that cannot be, found before the service was asked. Its text says what to do. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
