// What `import … from "wavelog-worker-client"` gives. Pages without a build step load the classic
// script instead (`classic.ts`).

export { connect, version } from "./connect.js";
export type {
  Connection, ConnectOptions, Frame, ResyncReason, State, StateDetail,
} from "./types.js";
