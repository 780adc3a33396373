// tessera serve as a process, with the default model.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export class Program {
  url = "";
  private process: ChildProcess | null = null;
  private readonly home = mkdtempSync(join(tmpdir(), "tessera-serve-"));

  async start(port = 0, more: readonly string[] = []): Promise<void> {
    const child = spawn(
      process.env["TESSERA_BINARY"]!,
      ["serve", "-m", process.env["TESSERA_MODEL"]!, "-c", "2048", "--port", String(port), ...more],
      { env: { ...process.env, XDG_DATA_HOME: this.home, XDG_CONFIG_HOME: this.home }, stdio: ["ignore", "pipe", "inherit"] },
    );
    this.process = child;
    let said = "";
    this.url = await new Promise<string>((resolve, reject) => {
      child.stdout!.on("data", (text: Buffer) => {
        said += text.toString();
        const found = /http:\/\/[\d.]+:\d+/.exec(said);
        if (found) resolve(found[0]);
      });
      child.on("exit", (code) => reject(new Error(`tessera serve ended with ${code}: ${said}`)));
    });
  }
  get port(): number {
    return Number(new URL(this.url).port);
  }
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (!this.process || this.process.exitCode !== null) return;
    const ended = once(this.process, "exit");
    this.process.kill(signal);
    await ended;
    this.process = null;
  }
  again(signal: NodeJS.Signals = "SIGTERM"): void {
    this.process?.kill(signal);
  }
  async end(): Promise<void> {
    await this.stop("SIGKILL");
    rmSync(this.home, { recursive: true, force: true });
  }
}
