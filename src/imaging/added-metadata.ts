/** What is to be written into an image beside its picture. */
export interface AddedMetadata {
  /** Elements for an XMP packet; see `xmp-packet.ts`. */
  readonly xmp?: XmpFacts;
  /** How it was made, as tools around Stable Diffusion write and read it: a text of several lines. */
  readonly parameters?: string;
}

/** What an XMP packet says. */
export interface XmpFacts {
  /** Last part of the term of IPTC's NewsCodes for digital sources. */
  readonly digitalSourceType: "trainedAlgorithmicMedia" | "compositeWithTrainedAlgorithmicMedia";
  readonly creatorTool: string;
}
