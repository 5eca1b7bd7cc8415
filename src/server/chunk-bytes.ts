/**
 * How many bytes of an image or asset are read and sent at once. Just under 256 KiB, so that a chunk and what frames it
 * fit into a buffer of that size.
 */
export const chunkBytes = 255 * 1024;
