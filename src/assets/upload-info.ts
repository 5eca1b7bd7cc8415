/** What an uploader says of a file. */
export interface UploadInfo {
  /** For people, and for browsers that save it; empty if there is none. Says nothing about what the file is. */
  readonly fileName: string;
  /** What the bytes must have, as they come, in lowercase hexadecimal; absent: any. */
  readonly sha256?: string;
  /** Whether to remove metadata such as place and camera, which makes other bytes of it. */
  readonly stripMetadata: boolean;
  /** How long it is kept at least, in milliseconds. Default: that of the server. */
  readonly retentionMs?: number;
}
