/** The service cannot start. The text says what to do, in one line, for who starts it. */
export class StartProblem extends Error {
  override readonly name = "StartProblem";
}
