/** What a run in the page came to; plain data, so that it can leave the page. */
export interface PageRun {
  readonly events: string[];
  readonly previewCount: number;
  readonly widthPx: number;
  readonly heightPx: number;
  readonly error: string;
}
