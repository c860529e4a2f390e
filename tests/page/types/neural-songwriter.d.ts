/** What wasm-bindgen makes of src/web.rs; it lies beside the scripts only in a build. */
import type { Caption, Device, Foreseen, Keyword, Options, Songs, WriteOptions } from "../../../www/app/protocol.js";

type Files = Record<string, Uint8Array>;

export class Engine {
  static open(device: Device, captioner: Files, lyricist: Files): Promise<Engine>;
  static options(): Options;
  device(): Device;
  caption(bytes: Uint8Array, name: string, beam: number): Promise<Caption>;
  keywords(text: string): Keyword[];
  write(options: WriteOptions, onText: (piece: { song: number; text: string }) => boolean | Promise<boolean>): Promise<Pick<Songs, "songs">>;
  foresee(text: string, options: WriteOptions): Promise<Foreseen[]>;
  static picture_digest(bytes: Uint8Array, name: string): string;
  picture_features(bytes: Uint8Array, name: string): Promise<Float32Array>;
  lyricist_logits(text: string): Promise<Float32Array>;
  free(): void;
}

export default function init(options: { module_or_path: Response }): Promise<unknown>;
