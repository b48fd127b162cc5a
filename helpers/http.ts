/** git-odb-helper-http: objects behind HTTP, on `git odb serve`, a list/upload server or a plain web server. */

import { runHelper } from "./run.js";

void runHelper({
  command: "git-odb-helper-http",
  schemes: ["http", "https"],
  urls: "http(s)://host/path, ?layout=list for a list/upload server",
});
