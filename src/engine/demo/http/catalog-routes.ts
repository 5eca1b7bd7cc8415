import type { JsonObject } from "../json.ts";
import type { NodeDefinition, Surroundings } from "../nodes/node.ts";
import { objectInfoOf } from "../object-info.ts";
import { type Route, replyEmpty, replyJson } from "./exchange.ts";

/** What there is: node classes and models. */
export function catalogRoutes(
  classes: ReadonlyMap<string, NodeDefinition>,
  surroundings: Surroundings,
): readonly Route[] {
  const { models } = surroundings;
  return [
    {
      method: "GET",
      path: "/object_info",
      handle: (exchange) => {
        const all = [...classes].map(([name, node]): [string, JsonObject] => [
          name,
          objectInfoOf(node, surroundings),
        ]);
        replyJson(exchange, Object.fromEntries(all));
      },
    },
    {
      method: "GET",
      path: "/object_info/{class}",
      handle: (exchange) => {
        const node = classes.get(exchange.params.class ?? "");
        replyJson(exchange, node ? { [node.classType]: objectInfoOf(node, surroundings) } : {});
      },
    },
    { method: "GET", path: "/models", handle: (exchange) => replyJson(exchange, models.folders) },
    {
      method: "GET",
      path: "/models/{folder}",
      handle: (exchange) => {
        const names = models.list(exchange.params.folder ?? "");
        return names ? replyJson(exchange, names) : replyEmpty(exchange, 404);
      },
    },
    {
      method: "GET",
      path: "/embeddings",
      handle: (exchange) =>
        replyJson(
          exchange,
          (models.list("embeddings") ?? []).map((name) => name.replace(/\.[^.]*$/, "")),
        ),
    },
    {
      method: "GET",
      path: "/view_metadata/{folder}",
      handle: (exchange) => {
        const metadata = models.metadata(exchange.params.folder ?? "", exchange.query.get("filename") ?? "");
        return metadata ? replyJson(exchange, metadata) : replyEmpty(exchange, 404);
      },
    },
  ];
}
