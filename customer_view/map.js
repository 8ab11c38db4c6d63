// The map: the only file that knows the map library. It shows where the technician is, and nothing else.

import { element } from "./page.js";

const ZOOM = 15;
const CIRCLE_FROM_M = 30; // a better fix is as good as a point
const ICON_PX = 44;
const LEAFLET = '<a href="https://leafletjs.com">Leaflet</a>';

/** @typedef {{move: (at: import("./connection.js").Position) => void, clear: () => void}} TechnicianMap */

/**
 * Load the library and draw the map in `place`, whose data say where the tiles are.
 * @param {HTMLElement} place
 * @returns {Promise<TechnicianMap>}
 */
export async function drawMap(place) {
  const told = place.dataset;
  addStyle(told.leafletCss);
  addStyle(told.mapCss);
  await addScript(told.leaflet);
  if (told.mapKind === "vector") await addScript(told.protomaps);
  const map = L.map(place, { zoomControl: false, attributionControl: false });
  L.control.zoom({ zoomInTitle: told.zoomIn, zoomOutTitle: told.zoomOut }).addTo(map);
  L.control.attribution({ prefix: LEAFLET }).addTo(map);
  map.setMaxZoom(Number(told.mapMaxZoom) + 2);
  drawTiles(map, told);
  return technicianOn(map, told.mapBounds);
}

/**
 * The technician's mark on a map, and a view that follows it until the reader moves the map.
 * @param {L.Map} map
 * @param {string | undefined} bounds beyond which there is nothing to draw
 * @returns {TechnicianMap}
 */
function technicianOn(map, bounds) {
  const icon = L.divIcon({ className: "technician-mark", iconSize: [ICON_PX, ICON_PX], html: "<i></i><b></b>" });
  const mark = L.marker([0, 0], { icon, interactive: false, keyboard: false });
  const circle = L.circle([0, 0], { radius: 0, interactive: false, className: "accuracy" });
  const follow = element("follow");
  let following = true;

  const stopFollowing = () => {
    following = false;
    follow.hidden = false;
  };
  map.on("dragstart", stopFollowing);
  map.getContainer().addEventListener("wheel", stopFollowing, { passive: true });
  map.getContainer().addEventListener("keydown", (event) => {
    if (event.key.startsWith("Arrow")) stopFollowing();
  });
  follow.addEventListener("click", () => {
    following = true;
    follow.hidden = true;
    map.panTo(mark.getLatLng());
  });

  return {
    move(at) {
      const place = L.latLng(at.lat, at.lon);
      map.invalidateSize(false);
      if (map.hasLayer(mark)) {
        if (following) map.panTo(place, { duration: 1 });
      } else {
        keepWithin(map, bounds);
        map.setView(place, Math.max(ZOOM, map.getMinZoom()), { animate: false });
      }
      mark.setLatLng(place).addTo(map);
      const shape = mark.getElement();
      shape?.classList.toggle("heading", at.course_deg !== null);
      shape?.style.setProperty("--course", `${at.course_deg ?? 0}deg`);
      if (at.accuracy_m !== null && at.accuracy_m > CIRCLE_FROM_M) {
        circle.setLatLng(place).setRadius(at.accuracy_m).addTo(map);
      } else {
        circle.remove();
      }
    },
    clear() {
      mark.remove();
      circle.remove();
    },
  };
}

/** @param {L.Map} map @param {DOMStringMap} told */
function drawTiles(map, told) {
  const attribution = told.mapAttribution ?? "";
  if (told.mapKind === "raster") {
    L.tileLayer(told.mapUrl ?? "", { attribution, maxNativeZoom: Number(told.mapMaxZoom) }).addTo(map);
    return;
  }
  /** @type {{protomapsL: {leafletLayer: (options: object) => L.Layer}}} */
  const library = Object(window);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  /** @type {L.Layer | undefined} */
  let tiles;
  const draw = () => {
    tiles?.remove();
    tiles = library.protomapsL.leafletLayer({
      url: told.mapUrl,
      flavor: dark.matches ? "dark" : "light",
      lang: document.documentElement.lang,
      maxDataZoom: Number(told.mapMaxZoom),
      attribution,
    });
    tiles.addTo(map);
  };
  dark.addEventListener("change", draw);
  draw();
}

/**
 * Show nothing from beyond the bounds: it would be an empty slab. Needs the map's size, so not before it is seen.
 * @param {L.Map} map
 * @param {string | undefined} bounds west, south, east, north in degrees
 */
function keepWithin(map, bounds) {
  if (!bounds) return;
  const [west, south, east, north] = bounds.split(",").map(Number);
  const box = L.latLngBounds([south, west], [north, east]);
  map.setMinZoom(Math.min(map.getBoundsZoom(box, true), map.getMaxZoom()));
  map.setMaxBounds(box);
}

/** @param {string | undefined} url */
function addScript(url) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = url ?? "";
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });
}

/** @param {string | undefined} url */
function addStyle(url) {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = url ?? "";
  document.head.append(link);
}
