import { Option } from "commander";

/** `--backend`: what one backend has, in place of all. */
export function backendOption(): Option {
  return new Option("--backend <name>", "only what this backend has");
}
