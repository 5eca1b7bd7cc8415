import { type History, historyJsonOf } from "../history.ts";
import { pythonInt, pythonTruth } from "../python.ts";
import { type Route, readJson, replyEmpty, replyJson } from "./exchange.ts";
import { idsIn, objectIn } from "./queue-routes.ts";

/** The records of ended prompts. */
export function historyRoutes(history: History): readonly Route[] {
  return [
    {
      method: "GET",
      path: "/history",
      handle: (exchange) => {
        const entries = history.slice(
          numberIn(exchange.query, "max_items"),
          numberIn(exchange.query, "offset"),
        );
        replyJson(
          exchange,
          Object.fromEntries(entries.map((entry) => [entry.prompt.promptId, historyJsonOf(entry)])),
        );
      },
    },
    {
      method: "GET",
      path: "/history/{id}",
      handle: (exchange) => {
        const entry = history.get(exchange.params.id ?? "");
        replyJson(exchange, entry ? { [entry.prompt.promptId]: historyJsonOf(entry) } : {});
      },
    },
    {
      method: "POST",
      path: "/history",
      handle: async (exchange) => {
        const body = objectIn(await readJson(exchange.request));
        if (pythonTruth(body.clear ?? false)) {
          history.clear();
        }
        for (const id of idsIn(body)) {
          history.delete(id);
        }
        replyEmpty(exchange, 200);
      },
    },
  ];
}

/** @throws PythonError if it is no integer */
function numberIn(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  return text === null ? undefined : Number(pythonInt(text));
}
