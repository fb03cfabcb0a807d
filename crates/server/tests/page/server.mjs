// A server of the bundled model, as two models.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Starts a server and returns its address and a function that stops it and returns its exit status. */
export async function start(binary, folder, { key = '', options = [] } = {}) {
  const models = [`--model=emotion=${folder}`, `--model=other=${folder}`];
  const server = spawn(binary, ['serve', '--port=0', ...models, ...options], {
    env: { ...process.env, DISTILBERT_API_KEY: key },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = new Promise((resolve) => server.on('exit', resolve));
  const lines = createInterface({ input: server.stderr });
  const said = [];
  const address = await new Promise((resolve, reject) => {
    lines.on('line', (line) => {
      said.push(line);
      const found = line.match(/listening on (http:\S+)/);
      if (found) resolve(found[1]);
    });
    server.on('exit', () => reject(new Error(said.join('\n'))));
  });
  const stop = () => {
    server.kill('SIGTERM');
    return ended;
  };
  return { address, stop };
}
