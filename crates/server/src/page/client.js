// Requests to the server, and its errors in words. Paths are relative, so that the page works behind a prefix.

const KEY = 'distilbert-key';

const WORDS = {
  Overloaded: 'The server is busy. Trying again…',
  Timeout: 'The server did not answer in time.',
  TooLarge: 'The text is too long for this server.',
  Unhealthy: 'The server is being stopped.',
  Backend: 'The computation failed.',
};

/** An error that the server answered with, or `Unreachable`. */
export class Refusal extends Error {
  constructor(code, message, retryAfter = 1) {
    super(WORDS[code] ?? message);
    this.code = code;
    /** Seconds after which to try again. */
    this.retryAfter = retryAfter;
  }
}

/** Keeps a key for this tab. */
export function useKey(key) {
  sessionStorage.setItem(KEY, key);
}

export function hasKey() {
  return Boolean(sessionStorage.getItem(KEY));
}

/** Sends a request and returns the response, whatever its status. */
export async function send(path, { body, headers = {}, method, signal } = {}) {
  const key = sessionStorage.getItem(KEY);
  const all = { ...headers, ...(key ? { authorization: `Bearer ${key}` } : {}) };
  if (body !== undefined) all['content-type'] = 'application/json';
  return fetch(path, { method: method ?? (body === undefined ? 'GET' : 'POST'), body, headers: all, signal });
}

/** Returns the JSON of a success, or throws a `Refusal`. A request that is aborted throws an `AbortError`. */
export async function ask(path, content, signal) {
  let response;
  try {
    const body = content === undefined ? undefined : JSON.stringify(content);
    response = await send(path, { body, signal });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Refusal('Unreachable', 'The server cannot be reached.');
  }
  if (response.ok) return response.json();
  const error = await response.json().catch(() => ({}));
  const retryAfter = Number(response.headers.get('retry-after')) || 1;
  throw new Refusal(error.error_type, error.error ?? `The server answered with status ${response.status}.`, retryAfter);
}

/**
 * Returns a function that computes the newest of the requests it is given: after a delay without another one, aborting
 * the one before. `compute` takes a signal; what it returns for a request that is no longer the newest is dropped.
 */
export function newest(delay, compute, done, failed) {
  let controller = new AbortController();
  let timer;
  const run = async (own) => {
    try {
      const answer = await compute(own.signal);
      if (!own.signal.aborted) done(answer);
    } catch (error) {
      if (!own.signal.aborted) failed(error);
    }
  };
  const schedule = (wait = delay) => {
    controller.abort();
    clearTimeout(timer);
    controller = new AbortController();
    timer = setTimeout(run, wait, controller);
  };
  schedule.cancel = () => {
    controller.abort();
    clearTimeout(timer);
  };
  return schedule;
}
