// A click on the map says where the door is; the two fields can be typed into as well.

import { drawMap, library } from "./map.js";
import { element } from "./page.js";

const ZOOM = 16;
const lat = /** @type {HTMLInputElement} */ (element("lat"));
const lon = /** @type {HTMLInputElement} */ (element("lon"));

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
    const at = { lat: Number(lat.value), lng: Number(lon.value) };
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
