/** What a ControlNet looks for in a hint: outlines, nearness (light is near), or colours. */
export type HintReading = "edges" | "depth" | "colours";
