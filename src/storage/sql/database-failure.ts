import { isServiceError, ServiceError } from "../../domain/errors.ts";

/**
 * What an adapter throws in place of whatever its database library does.
 *
 * - `passing`: a deadlock, a connection that broke. Unless it was a COMMIT, nothing has been done, and trying again at
 *   once makes sense.
 * - `unavailable`: the database cannot be reached, is full or out of order.
 * - `refused`: what was to be written breaks a rule of the schema, which is a fault of ours.
 */
export class DatabaseFailure extends Error {
  override readonly name = "DatabaseFailure";
  readonly kind: "passing" | "unavailable" | "refused";

  constructor(kind: DatabaseFailure["kind"], cause: unknown) {
    super(`the database failed (${kind})`, { cause });
    this.kind = kind;
  }
}

/** When trying again makes sense: a server that was restarted, or another that takes over, is back in seconds. */
const retryAfterMs = 2_000;

/**
 * What the stores throw for `error`: `STORE_UNAVAILABLE` if the database is to blame, with what it said in `cause` alone,
 * since that may hold SQL and hosts. Other errors are returned as they are.
 */
export function toStoreError(error: unknown): unknown {
  if (isServiceError(error) || !(error instanceof DatabaseFailure) || error.kind === "refused") {
    return error;
  }
  return new ServiceError(
    "STORE_UNAVAILABLE",
    "the service's database is out of reach or out of order; try again later",
    { retryAfterMs },
    { cause: error },
  );
}

/** The database cannot be used by this process. The text says what to do, in one line, for who starts the service. */
export class DatabaseStartError extends Error {
  override readonly name: string = "DatabaseStartError";
}

/** Another process, or another part of this one, has the directory. */
export class DirectoryInUseError extends DatabaseStartError {
  override readonly name = "DirectoryInUseError";

  constructor(directory: string, options?: ErrorOptions) {
    super(
      `the directory ${directory} is in use by another comfyrpc process; ` +
        "stop that, or choose another COMFYRPC_DATA_DIR",
      options,
    );
  }
}

/** The database was made by a later version of this program. */
export class NewerDatabaseError extends DatabaseStartError {
  override readonly name = "NewerDatabaseError";

  /** @param where names the database, for people */
  constructor(where: string) {
    super(`${where} was made by a newer version of comfyrpc; run that one`);
  }
}
