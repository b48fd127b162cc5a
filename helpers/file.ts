/** git-odb-helper-file: objects in a folder. */

import { fileHelper } from "./kinds.js";
import { runHelper } from "./run.js";

void runHelper(fileHelper);
