/** git-odb-helper-s3: objects in S3. */

import { s3Helper } from "./kinds.js";
import { runHelper } from "./run.js";

void runHelper(s3Helper);
