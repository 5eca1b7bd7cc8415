import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Command } from "commander";
import { z } from "zod";
import { type Template, TemplateSchema } from "../../../gen/comfyrpc/v1/template_pb.js";
import { systemClock } from "../../lib/clock.ts";
import { addConnectionOptions } from "../connection-options.ts";
import { jsonLine } from "../event-json.ts";
import { callExitCodeHelp } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import { formatSeconds } from "../format-duration.ts";
import type { CliContext } from "../io.ts";
import { plainText } from "../plain-text.ts";
import { shorten } from "../shorten.ts";
import { tableLines } from "../table.ts";
import type { TemplateClient } from "../template-client.ts";
import { writeLines } from "../write-lines.ts";
import { callTemplates } from "./template-call.ts";

/** `comfyrpc templates list`: shows templates, or the versions of one. */
export function listTemplatesCommand(context: CliContext): Command {
  const command = new Command("list")
    .summary("list templates, or the versions of one")
    .description("Lists the templates by name, the newest version of each; or all versions of one.")
    .argument("[name]", "template whose versions to list")
    .option("--json", "write each as a line of JSON")
    .action((name: string | undefined) =>
      finishCommand(context, () => {
        const { json } = Flags.parse(command.opts());
        return callTemplates(command, context, async (client) => {
          const templates = await Array.fromAsync(templatesOf(client, name, context.signal));
          if (json) {
            for (const template of templates) context.stdout.write(jsonLine(TemplateSchema, template));
          } else if (templates.length === 0) {
            writeLines(context, ["no templates"]);
          } else {
            const rows = templates.map((template) => rowOf(template, systemClock.now()));
            for (const line of tableLines([header, ...rows])) context.stdout.write(`${line}\n`);
          }
        });
      }),
    );
  return addConnectionOptions(command).addHelpText("after", `\n${callExitCodeHelp}`);
}

async function* templatesOf(
  client: TemplateClient,
  name: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<Template> {
  let pageToken = "";
  do {
    const page = await (name === undefined
      ? client.list({ pageToken, pageSize: 100 }, signal)
      : client.listVersions({ name, pageToken, pageSize: 100 }, signal));
    yield* page.templates;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}

const Flags = z.object({ json: z.boolean().default(false) });

const header = ["NAME", "VERSION", "AGE", "ALIASES", "PARAMETERS", "DESCRIPTION"];

function rowOf(template: Template, now: Date): string[] {
  const { name, version, createTime, aliases, parameters, description } = template;
  return [
    plainText(name),
    `${version}`,
    createTime ? formatSeconds(now.getTime() - timestampMs(createTime)) : "-",
    plainText(aliases.join(",")) || "-",
    `${parameters.length}`,
    shorten(plainText(description), 60),
  ];
}
