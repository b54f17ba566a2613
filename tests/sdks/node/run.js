/**
 * Runs every case, one after the other, each on an emptied instance.
 *
 * One process and one SDK object: what the SDK keeps between calls (connections, its token, its header object, which all
 * its services share) is kept here as it is in an application.
 */
"use strict";

const { beforeEach } = require("node:test");
const { reset } = require("./support");

beforeEach(reset);

require("./tokens");
require("./users");
require("./rooms");
require("./cursors");
require("./messages");
require("./files");
require("./roles");
require("./deletions");
require("./older");
require("./surface"); // what the others have not used
