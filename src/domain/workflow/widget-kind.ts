import type { GraphValue } from "../graph.ts";
import type { NodeInput } from "../node-class.ts";
import { asMembers } from "./input-spec.ts";

/** How the editor treats the widgets of a type of inputs. */
export interface WidgetKind {
  /** Whether its value is among those that a workflow saves. */
  readonly isSaved: boolean;
  /** Whether its value is in the graph. */
  readonly isSent: boolean;
  /** Values saved behind its own that are not for the graph. */
  readonly placesBehind: number;
  /** Its value if neither the workflow nor the class has one. */
  readonly initial?: GraphValue;
  /** What makes its value when the editor sends the graph; the saved one is not it. */
  readonly madeBy?: string;
}

/**
 * The widget that stands for `input` in the editor; `undefined` if none does, so that it can only be linked. Types of
 * other people's widgets are not known here.
 */
export function widgetKindOf(input: NodeInput): WidgetKind | undefined {
  if (input.options.forceInput === true) {
    return undefined;
  }
  const type = widgetTypeOf(input);
  // What the editor saw of the scene last, which the backend can do without.
  const kind = type === "LOAD_3D" && input.name !== "image" ? { ...plain, initial: {} } : kinds.get(type);
  return kind && { ...kind, placesBehind: kind.placesBehind + controlPlaces(input) + fetchingPlaces(input) };
}

/** The type that says which widget stands for `input`, which need not be the type of what it takes. */
export function widgetTypeOf({ type, options }: NodeInput): string {
  return typeof options.widgetType === "string" ? options.widgetType : type;
}

/** Whether the class has the editor show a button for files, which saves a value after all others. */
export function isUpload({ name, options }: NodeInput): boolean {
  return (
    options.image_upload === true ||
    options.video_upload === true ||
    options.animated_image_upload === true ||
    (name === "audio" && options.audio_upload === true)
  );
}

/** What is saved of how the value changes after each run: that, and for choices which of them are to be considered. */
function controlPlaces({ name, options, type }: NodeInput): number {
  const isControlled = options.control_after_generate ?? (type === "INT" && seedNames.has(name));
  if (!isControlled || !controlledTypes.has(type)) {
    return 0;
  }
  return type === "COMBO" ? 2 : 1;
}

const controlledTypes: ReadonlySet<string> = new Set(["INT", "FLOAT", "COMBO"]);

const seedNames: ReadonlySet<string> = new Set(["seed", "noise_seed"]);

/** What is saved of a choice that the editor fetches: whether to fetch again after each run, and a button. */
function fetchingPlaces({ type, options: { remote } }: NodeInput): number {
  if (type !== "COMBO" || remote === undefined) {
    return 0;
  }
  return asMembers(remote).refresh_button === true ? 2 : 1;
}

const plain: WidgetKind = { isSaved: true, isSent: true, placesBehind: 0 };

const neverSaved: WidgetKind = { isSaved: false, isSent: false, placesBehind: 0 };

const kinds: ReadonlyMap<string, WidgetKind> = new Map<string, WidgetKind>([
  ["INT", { ...plain, initial: 0 }],
  ["FLOAT", { ...plain, initial: 0 }],
  ["BOOLEAN", { ...plain, initial: false }],
  ["STRING", { ...plain, initial: "" }],
  ["COMBO", plain],
  ["COMFY_DYNAMICCOMBO_V3", plain],
  // How many rows it has; the rows are what is sent.
  ["COMFY_DYNAMICGROUP_V3", { ...plain, isSent: false }],
  ["MARKDOWN", { ...plain, initial: "" }],
  ["TEXTAREA", { ...plain, initial: "" }],
  ["COLOR", { ...plain, initial: "#000000" }],
  ["COLORS", { ...plain, initial: [] }],
  [
    "CURVE",
    {
      ...plain,
      initial: {
        points: [
          [0, 0],
          [1, 1],
        ],
        interpolation: "monotone_cubic",
      },
    },
  ],
  ["RANGE", { ...plain, initial: { min: 0, max: 1 } }],
  // The four sides are saved behind it once more, one by one.
  ["BOUNDING_BOX", { ...plain, placesBehind: 4, initial: { x: 0, y: 0, width: 512, height: 512 } }],
  ["BOUNDING_BOXES", { ...plain, initial: [] }],
  ["CHART", { ...plain, initial: {} }],
  ["GALLERIA", { ...plain, initial: [] }],
  ["PAINTER", plain],
  ["COMPOSITOR", plain],
  ["VIDEO_EDIT", plain],
  ["LIGHT_INFO_PREVIEW", plain],
  ["IMAGECOMPARE", { ...plain, isSaved: false, initial: ["", ""] }],
  ["RESOLUTION_PREVIEW", neverSaved],
  ["CAMERA_INFO_STATE", neverSaved],
  ["CAMERA_ANGLE_VIEW", neverSaved],
  ["PREVIEW_3D", { ...plain, isSent: false }],
  ["LOAD_3D", { ...plain, isSent: false, madeBy: "renders the 3D scene" }],
  ["LOAD_3D_ADVANCED", { ...plain, initial: {} }],
  ["WEBCAM", { ...plain, isSent: false, madeBy: "takes a picture with the webcam" }],
  ["AUDIO_RECORD", { ...plain, isSent: false, madeBy: "uploads the recording" }],
]);
