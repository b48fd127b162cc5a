/** git-odb-helper-http: objects behind HTTP, on `git odb serve`, a list/upload server or a plain web server. */

import { httpHelper } from "./kinds.js";
import { runHelper } from "./run.js";

void runHelper(httpHelper);
