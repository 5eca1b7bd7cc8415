import type { GraphNode, WorkflowGraph } from "../graph.ts";
import { linkOf, nodesInOrder } from "./node-order.ts";
import { imageRoles, inputRoles, type Role, textInputs, textRoles } from "./proposed-roles.ts";
import type { ParameterTarget, ParameterType, PlainValue, TemplateParameter } from "./workflow-template.ts";

/** Numbers in the names of parameters would end somewhere; who needs more writes them. */
const maxParameters = 100;

/**
 * Parameters that the users of a graph are likely to want: prompts, found by following the links of samplers, images,
 * size, sampling, models and strengths. The value in the graph is the default; a seed is random and an image required.
 * Names are unique, and the same for the same graph whatever the order of its JSON.
 */
export function proposeParameters(graph: WorkflowGraph): readonly TemplateParameter[] {
  const order = nodesInOrder(graph);
  const taken = new Set<string>();
  const found: { readonly role: Role; readonly target: ParameterTarget; readonly value: PlainValue }[] = [];
  const add = (role: Role, target: ParameterTarget | undefined) => {
    const value = target && graph[target.nodeId]?.inputs[target.inputName];
    const key = JSON.stringify([target?.nodeId, target?.inputName]);
    if (target === undefined || !fits(value, role.type) || taken.has(key)) {
      return;
    }
    taken.add(key);
    found.push({ role, target, value });
  };

  for (const side of ["positive", "negative"] as const) {
    const role = side === "positive" ? textRoles.prompt : textRoles.negativePrompt;
    for (const target of textsOf(graph, order, side)) {
      add(role, target);
    }
  }
  for (const id of order.filter((one) => /TextEncode/.test(graph[one]?.class_type ?? ""))) {
    for (const target of textsIn(graph, id)) {
      add(textRoles.otherText, target);
    }
  }
  const used = usedOutputs(graph);
  for (const id of order.filter((one) => /^LoadImage(Mask)?$/.test(graph[one]?.class_type ?? ""))) {
    add(imageRole(graph[id], used.get(id)), { nodeId: id, inputName: "image" });
  }
  for (const role of inputRoles) {
    for (const id of order) {
      const node = graph[id];
      for (const inputName of node === undefined ? [] : inputsOf(role, node, graph)) {
        add(role, ownTarget(graph, { nodeId: id, inputName }));
      }
    }
  }
  for (const id of order) {
    add(...primitiveRole(graph, id));
  }
  return named(found).slice(0, maxParameters);
}

/** Gives each value, or each set of equal ones that belong together, a name of its own. */
function named(
  found: readonly { readonly role: Role; readonly target: ParameterTarget; readonly value: PlainValue }[],
): readonly TemplateParameter[] {
  const groups: { readonly role: Role; readonly value: PlainValue; readonly targets: ParameterTarget[] }[] =
    [];
  for (const { role, target, value } of found) {
    const group = groups.find((one) => role.joins && one.role === role && one.value === value);
    if (group === undefined) {
      groups.push({ role, value, targets: [target] });
    } else {
      group.targets.push(target);
    }
  }
  const names = new Set<string>();
  return groups.map(({ role, value, targets }) => {
    let name = role.name;
    let number = 1;
    while (names.has(name)) {
      number += 1;
      name = `${role.name}_${number}`;
    }
    names.add(name);
    const { type, min, max } = role;
    return {
      name,
      title: number === 1 ? role.title : `${role.title} ${number}`,
      description: role.description,
      type,
      targets,
      isRequired: type === "image",
      defaultsToFirst: false,
      ...(type !== "image" && type !== "seed" && { default: value }),
      // What the graph has is never out of range.
      ...(min !== undefined && Number(value) >= min && { min }),
      ...(max !== undefined && Number(value) <= max && { max }),
      choices: [],
    };
  });
}

function fits(value: unknown, type: ParameterType): value is PlainValue {
  switch (type) {
    case "integer":
    case "seed":
      return typeof value === "bigint" || Number.isSafeInteger(value);
    case "number":
      return typeof value === "number";
    case "boolean":
      return typeof value === "boolean";
    default:
      return typeof value === "string";
  }
}

/** Names of the inputs of a node that play a role. */
function inputsOf(role: Role, { class_type, inputs }: GraphNode, graph: WorkflowGraph): readonly string[] {
  if (role.classes?.test(class_type) === false) {
    return [];
  }
  // The second half of a sampling in two parts adds no noise, so that its seed does nothing.
  if (role.type === "seed" && inputs.add_noise === "disable") {
    return [];
  }
  // From nothing, less than everything is never wanted.
  const latent = linkOf(inputs.latent_image);
  if (role.name === "denoise" && latent && /^Empty.*Latent/.test(graph[latent.nodeId]?.class_type ?? "")) {
    return [];
  }
  return role.inputs.filter((name) => Object.hasOwn(inputs, name));
}

/** The input that holds the value: this one, or that of the primitive node that it comes from. */
function ownTarget(graph: WorkflowGraph, target: ParameterTarget): ParameterTarget | undefined {
  const link = linkOf(graph[target.nodeId]?.inputs[target.inputName]);
  if (link === undefined) {
    return target;
  }
  return graph[link.nodeId]?.class_type.startsWith("Primitive")
    ? { nodeId: link.nodeId, inputName: "value" }
    : undefined;
}

/** The texts that lead to what samplers get as `side`, in the order in which they are met. */
function textsOf(
  graph: WorkflowGraph,
  order: readonly string[],
  side: "positive" | "negative",
): readonly ParameterTarget[] {
  const texts: ParameterTarget[] = [];
  const seen = new Set<string>();
  // A guider that takes but one conditioning is led by what the picture shows.
  const starts = side === "positive" ? ["positive", "conditioning", "cond1"] : ["negative"];
  const pending = order
    .flatMap((id) => starts.filter((name) => isStart(graph[id], name)).map((name) => graph[id]?.inputs[name]))
    .reverse();
  while (pending.length > 0) {
    const link = linkOf(pending.pop());
    const node = link && graph[link.nodeId];
    const key = JSON.stringify(link);
    if (link === undefined || node === undefined || seen.has(key)) {
      continue;
    }
    seen.add(key);
    texts.push(...textsIn(graph, link.nodeId));
    const isPair = Object.hasOwn(node.inputs, "positive") && Object.hasOwn(node.inputs, "negative");
    const sources = Object.entries(node.inputs).filter(([name]) =>
      isPair ? name === (link.output === 1 ? "negative" : "positive") : /^cond/.test(name),
    );
    pending.push(...sources.map(([, value]) => value).reverse());
  }
  return texts;
}

function isStart(node: GraphNode | undefined, input: string): boolean {
  const isPaired = input === "positive" || input === "negative";
  return (
    node !== undefined && Object.hasOwn(node.inputs, input) && (isPaired || /Guider/.test(node.class_type))
  );
}

/** Inputs with what is written in a text encoder, or in the node right before it. */
function textsIn(graph: WorkflowGraph, id: string): readonly ParameterTarget[] {
  const inputs = Object.entries(graph[id]?.inputs ?? {}).filter(([name]) => textInputs.has(name));
  return inputs.flatMap(([inputName, value]): readonly ParameterTarget[] => {
    const source = linkOf(value)?.nodeId;
    if (source === undefined) {
      return [{ nodeId: id, inputName }];
    }
    const names = Object.keys(graph[source]?.inputs ?? {}).filter((name) => textInputs.has(name));
    return names.map((name) => ({ nodeId: source, inputName: name }));
  });
}

/** Numbers of the outputs that something is linked to, by node id. */
function usedOutputs(graph: WorkflowGraph): ReadonlyMap<string, ReadonlySet<number>> {
  const used = new Map<string, Set<number>>();
  for (const { inputs } of Object.values(graph)) {
    for (const link of Object.values(inputs).map(linkOf)) {
      if (link !== undefined) {
        used.set(link.nodeId, (used.get(link.nodeId) ?? new Set()).add(link.output));
      }
    }
  }
  return used;
}

/** A picture of which nothing but the mask is used is a mask. */
function imageRole(node: GraphNode | undefined, outputs: ReadonlySet<number> = new Set()): Role {
  const isMask = outputs.size === 1 && outputs.has(1);
  return isMask || node?.class_type === "LoadImageMask" ? imageRoles.mask : imageRoles.image;
}

/** A primitive node that nothing else has claimed is there to be set, under its title. */
function primitiveRole(graph: WorkflowGraph, id: string): readonly [Role, ParameterTarget | undefined] {
  const { class_type = "", _meta } = graph[id] ?? {};
  const type = primitiveTypes.get(class_type);
  const title = _meta?.title ?? "";
  const name = title
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "_")
    .replace(/^[_0-9]+|_+$/g, "")
    .slice(0, 50);
  return [
    {
      name: name || "value",
      title: title || "Value",
      description: "",
      type: type ?? "string",
      joins: false,
      inputs: ["value"],
    },
    type === undefined ? undefined : { nodeId: id, inputName: "value" },
  ];
}

const primitiveTypes: ReadonlyMap<string, ParameterType> = new Map([
  ["PrimitiveInt", "integer"],
  ["PrimitiveFloat", "number"],
  ["PrimitiveString", "string"],
  ["PrimitiveStringMultiline", "text"],
  ["PrimitiveBoolean", "boolean"],
]);
