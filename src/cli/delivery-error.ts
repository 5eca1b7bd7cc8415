/** An image, or what is known of it, came otherwise than it was announced. */
export class DeliveryError extends Error {
  override readonly name = "DeliveryError";
}
