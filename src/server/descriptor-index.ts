import { fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  type EnumDescriptorProto,
  type FieldDescriptorProto,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";

/** A schema that can be asked which file declares what. Names are fully qualified, without a leading dot. */
export interface DescriptorIndex {
  /** The file of that name, such as `comfyrpc/v1/image.proto`. */
  file(name: string): DescriptorFile | undefined;
  /** The file that declares a message, field, oneof, enum, enum value, service, method or extension. */
  fileOfSymbol(symbol: string): DescriptorFile | undefined;
  /** The file that declares the extension with `fieldNumber` of a message. */
  fileOfExtension(message: string, fieldNumber: number): DescriptorFile | undefined;
  /** Numbers of the known extensions of a message, or `undefined` if there is no such message. */
  extensionNumbers(message: string): number[] | undefined;
}

/** One `.proto` file. */
export interface DescriptorFile {
  readonly name: string;
  /** A `google.protobuf.FileDescriptorProto`, comments included if the schema has them. */
  readonly bytes: Uint8Array;
  /** Names of the files that it imports. */
  readonly imports: readonly string[];
}

/**
 * Reads a schema.
 *
 * @param descriptorSet a `google.protobuf.FileDescriptorSet` that holds every imported file
 * @throws Error if the bytes are no such message, or an imported file is missing
 */
export function indexDescriptors(descriptorSet: Uint8Array): DescriptorIndex {
  const index = new Index();
  for (const file of fromBinary(FileDescriptorSetSchema, descriptorSet).file) index.add(file);
  index.assertComplete();
  return index;
}

class Index implements DescriptorIndex {
  readonly #files = new Map<string, DescriptorFile>();
  readonly #symbols = new Map<string, DescriptorFile>();
  readonly #messages = new Set<string>();
  /** By the name of the extended message, then by field number. */
  readonly #extensions = new Map<string, Map<number, DescriptorFile>>();

  file(name: string): DescriptorFile | undefined {
    return this.#files.get(name);
  }

  fileOfSymbol(symbol: string): DescriptorFile | undefined {
    return this.#symbols.get(symbol);
  }

  fileOfExtension(message: string, fieldNumber: number): DescriptorFile | undefined {
    return this.#extensions.get(message)?.get(fieldNumber);
  }

  extensionNumbers(message: string): number[] | undefined {
    if (!this.#messages.has(message)) return undefined;
    return [...(this.#extensions.get(message)?.keys() ?? [])].sort((a, b) => a - b);
  }

  add(proto: FileDescriptorProto): void {
    const file: DescriptorFile = {
      name: proto.name,
      bytes: toBinary(FileDescriptorProtoSchema, proto),
      imports: proto.dependency,
    };
    this.#files.set(file.name, file);
    for (const message of proto.messageType) this.#addMessage(file, proto.package, message);
    for (const enumType of proto.enumType) this.#addEnum(file, proto.package, enumType);
    for (const extension of proto.extension) this.#addExtension(file, proto.package, extension);
    for (const service of proto.service) {
      const name = this.#addSymbol(file, proto.package, service.name);
      for (const method of service.method) this.#addSymbol(file, name, method.name);
    }
  }

  assertComplete(): void {
    for (const file of this.#files.values()) {
      const missing = file.imports.find((name) => !this.#files.has(name));
      if (missing) throw new Error(`the descriptor set lacks ${missing}, which ${file.name} imports`);
    }
  }

  #addMessage(file: DescriptorFile, scope: string, message: DescriptorProto): void {
    const name = this.#addSymbol(file, scope, message.name);
    this.#messages.add(name);
    for (const field of [...message.field, ...message.oneofDecl]) this.#addSymbol(file, name, field.name);
    for (const extension of message.extension) this.#addExtension(file, name, extension);
    for (const enumType of message.enumType) this.#addEnum(file, name, enumType);
    for (const nested of message.nestedType) this.#addMessage(file, name, nested);
  }

  /** The values of an enum are named as its siblings: `google.rpc.OK` is a value of `google.rpc.Code`. */
  #addEnum(file: DescriptorFile, scope: string, enumType: EnumDescriptorProto): void {
    this.#addSymbol(file, scope, enumType.name);
    for (const value of enumType.value) this.#addSymbol(file, scope, value.name);
  }

  #addExtension(file: DescriptorFile, scope: string, extension: FieldDescriptorProto): void {
    this.#addSymbol(file, scope, extension.name);
    const extendee = extension.extendee.replace(/^\./, "");
    const files = this.#extensions.get(extendee) ?? new Map<number, DescriptorFile>();
    this.#extensions.set(extendee, files.set(extension.number, file));
  }

  #addSymbol(file: DescriptorFile, scope: string, name: string): string {
    const symbol = scope === "" ? name : `${scope}.${name}`;
    this.#symbols.set(symbol, file);
    return symbol;
  }
}
