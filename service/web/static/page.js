// Every page but the queue's: times as the reader's clock has them, and the focus where it is needed.

import { inOwnTime } from "./queue-times.js";
import { goToWhatWasDone } from "./told.js";

inOwnTime(document);
goToWhatWasDone();
