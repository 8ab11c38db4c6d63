// The open page: shows what the server sends, opens its forms in place, and says so when it hears nothing.

import { open } from "./connection.js";
import { showUpdate } from "./update.js";
import { hidePosition, showPosition } from "./position.js";
import "./actions.js";

open({
  update: showUpdate,
  position: showPosition,
  end: hidePosition,
});
