/** Where an image that a job reads is, as the caller gave it. */
export type ImageSource =
  | { readonly type: "asset"; readonly assetId: string }
  | { readonly type: "data"; readonly data: Uint8Array }
  | { readonly type: "url"; readonly url: string };

/** An image that a job reads, stored and looked at. */
export interface InputImage {
  /** Asset of the job's tenant that has its bytes. */
  readonly assetId: string;
  /** What graphs call it, below the backend's input directory: made of the hash of its bytes, so that equal names are equal bytes. */
  readonly fileName: string;
  /** As ComfyUI sees it: after it was turned as its metadata says. */
  readonly widthPx: number;
  readonly heightPx: number;
  /** Whether any of its pixels is not opaque. */
  readonly hasTransparency: boolean;
  /** Least and most red of its pixels, 0 to 255: what it is as a mask. */
  readonly redRange: readonly [least: number, most: number];
}
