import type { GenerationSpec } from "../../gen/comfyrpc/v1/generation_pb.js";

/** What a spec is about, for people and for names of files: its prompt, or that of its template, or the template's name. */
export function subjectOf({ prompt, template }: GenerationSpec): string {
  const given = template?.parameters?.prompt;
  return prompt || (typeof given === "string" && given !== "" ? given : (template?.name ?? ""));
}
