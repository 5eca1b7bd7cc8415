/** Whether `value` is a UUID in the one form that ComfyUI accepts: lowercase with hyphens. */
export function isCanonicalUuid(value: unknown): value is string {
  return typeof value === "string" && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value);
}
