// A click on the map says where the door is; the two fields can be typed into as well.

import { drawMap, library } from "./map.js";
import { element } from "./page.js";

const ZOOM = 16;
const BOTH = /^\s*([+-]?\d+\.\d+)\s*[,;\s]\s*([+-]?\d+\.\d+)\s*$/; // as other maps copy a place
const lat = /** @type {HTMLInputElement} */ (element("lat"));
const lon = /** @type {HTMLInputElement} */ (element("lon"));

/** A number as people type it. @param {string} typed */
const degrees = (typed) => Number(typed.trim().replace(",", "."));

/** Both numbers pasted into one field go where they belong. */
const spread = () => {
  const pasted = BOTH.exec(lat.value) ?? BOTH.exec(lon.value);
  if (pasted) [, lat.value, lon.value] = pasted;
};
for (const field of [lat, lon]) field.addEventListener("change", spread);

const map = await drawMap(element("map"));
if (map) {
  const shape = document.createElement("span");
  shape.className = "pin chosen unassigned";
  const icon = library().divIcon({ className: "", iconSize: [12, 12], html: shape });
  const door = library().marker([0, 0], { icon, draggable: true });

  /** @param {{lat: number, lng: number}} at */
  const write = (at) => {
    lat.value = at.lat.toFixed(6);
    lon.value = at.lng.toFixed(6);
  };
  const read = () => {
    const at = { lat: degrees(lat.value), lng: degrees(lon.value) };
    if (!lat.value || !lon.value || !Number.isFinite(at.lat) || !Number.isFinite(at.lng)) return;
    door.setLatLng(at).addTo(map);
    map.setView(at, Math.max(map.getZoom(), ZOOM));
  };
  map.on("click", (/** @type {any} */ event) => {
    const at = event.latlng.wrap();
    write(at);
    door.setLatLng(at).addTo(map);
  });
  door.on("dragend", () => write(door.getLatLng().wrap()));
  for (const field of [lat, lon]) field.addEventListener("change", read);
  read();
}
