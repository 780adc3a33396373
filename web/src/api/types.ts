// What the server says and takes: the native interface under /api, described by /openapi.json.

export type Role = "system" | "user" | "assistant" | "tool";
export type Mode = "chat" | "story";

export interface Parameters {
  mode?: Mode;
  system?: string;
  temperature?: number;
  top_k?: number;
  top_p?: number;
  min_p?: number;
  repeat_penalty?: number;
  frequency_penalty?: number;
  presence_penalty?: number;
  max_tokens?: number;
  seed?: number;
  stop?: string[];
}

export interface Session {
  id: number;
  title: string;
  model: string;
  parameters: Parameters;
  created_at: number; // milliseconds since 1970
  updated_at: number;
  archived: boolean;
  leaf: number | null;
  message_count: number;
}

export interface Message {
  id: number;
  parent: number | null;
  role: Role;
  content: string;
  model: string;
  finish_reason: string | null;
  prompt_tokens: number | null;
  completion_tokens: number | null;
  prefill_seconds: number | null;
  decode_seconds: number | null;
  created_at: number;
  has_tokens: boolean; // with their probabilities, for api.tokens
}

export interface Progress {
  stage: string;
  done: number;
  total: number;
  bytes_per_second: number | null;
  seconds_left: number | null;
}

export interface ServerStatus {
  ready: boolean;
  model: {
    id: string;
    name: string;
    architecture: string;
    parameters: number;
    context_size: number;
    vocab_size: number;
    weights_bytes: number;
    chat: boolean;
  } | null;
  progress: Progress | null;
  error: string | null;
  cache: { tokens: number; used_tokens: number } | null;
  running: number;
  waiting: number;
  version: string;
  defaults: Partial<Record<keyof Parameters, number>> | null;
}

export interface SearchHit {
  session: number;
  title: string;
  message: number | null;
  role: Role | null;
  created_at: number;
  snippet: string;
  highlights: [number, number][]; // in characters (code points) of the snippet
}

export interface Alternative {
  text: string;
  logprob: number;
}

export interface TokenEvent {
  text: string;
  id?: number;
  logprob?: number;
  top?: Alternative[];
}

export interface ReadingProgress {
  prompt_tokens: number;
  cached_tokens: number;
  done_tokens: number;
}

export interface Finished {
  message: Message;
  usage: { prompt_tokens: number; cached_tokens: number; completion_tokens: number };
  timings: {
    queue_seconds: number;
    first_token_seconds: number;
    prefill_seconds: number;
    decode_seconds: number;
    tokens_per_second: number;
  };
  context: { used: number; size: number };
}

export interface ReplyRequest {
  parent: number | null;
  content?: string;
  parameters?: Parameters;
  logprobs?: number;
  continue?: boolean;
}

export interface ReplyHandlers {
  message(message: Message): void;
  progress(progress: ReadingProgress): void;
  token(token: TokenEvent): void;
  done(finished: Finished): void;
}
