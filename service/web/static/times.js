// Every page but the queue's, which does it anew for each card: times as the reader's clock has them.

import { inOwnTime } from "./queue-times.js";

inOwnTime(document);
