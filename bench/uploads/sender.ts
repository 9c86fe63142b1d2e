import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export interface UploadJob {
  port: number;
  path: string;
  /** Bytes of each upload. */
  size: number;
  /** Whether the bytes are the one file of a form. */
  form: boolean;
  how?: 'length' | 'chunked';
  /** Uploads at once. */
  count?: number;
}

export interface UploadAnswer {
  status: number;
  sent: number;
  body: string;
}

/** Uploads from another process, so that the server's own time and memory can be told. */
export class Sender {
  readonly #child: ChildProcess = fork(join(__dirname, 'sender.cjs'), { execArgv: [] });

  async send(job: UploadJob): Promise<UploadAnswer[]> {
    const answered = once(this.#child, 'message') as Promise<[UploadAnswer[]]>;
    this.#child.send(job);
    const [answers] = await answered;
    return answers;
  }

  close(): void {
    this.#child.disconnect();
  }
}
