/** `850ms`, `8.3s`, `1m15s`, `2h03m`, `3d04h`: a time in milliseconds, for a summary. */
export function formatDuration(timeMs: number): string {
  if (timeMs < 1000) return `${Math.round(timeMs)}ms`;
  if (timeMs < 9_950) return `${(timeMs / 1000).toFixed(1)}s`;
  return formatSeconds(timeMs);
}

/** `8s`, `1m15s`, `2h03m`, `3d04h`: a time in milliseconds, for a display that counts. Never negative. */
export function formatSeconds(timeMs: number): string {
  const seconds = Math.max(0, Math.round(timeMs / 1000));
  const minutes = Math.floor(seconds / 60);
  if (seconds < 60) return `${seconds}s`;
  if (minutes < 60) return `${minutes}m${twoDigits(seconds % 60)}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours}h${twoDigits(minutes % 60)}m`;
  return `${Math.floor(hours / 24)}d${twoDigits(hours % 24)}h`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}
