import { open } from "node:fs/promises";
import { storeUnavailable, throwUnavailable } from "../blob-errors.ts";

/**
 * Resolves once the names in a directory are on disk. Opened anew each time: a directory that was replaced would
 * otherwise be synced in its old place.
 *
 * @throws ServiceError `STORE_UNAVAILABLE`
 */
export async function syncDirectory(path: string): Promise<void> {
  if (process.platform === "win32") {
    return; // cannot sync directories, and NTFS keeps a journal of names by itself
  }
  const directory = await open(path).catch(throwUnavailable);
  try {
    await directory.sync();
  } catch (error) {
    throw storeUnavailable(error);
  } finally {
    await directory.close().catch(() => {});
  }
}
