/** git-odb-helper-file: objects in a folder. */

import { runHelper } from "./run.js";

void runHelper({ command: "git-odb-helper-file", schemes: ["file"], urls: "file:///folder, or a path" });
