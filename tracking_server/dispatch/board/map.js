// The map: the only file of the board that knows the map library.

const MOST_MARKERS = 300; // beyond it a dot on a canvas per technician, as so many elements would crawl
const ZOOM = 14;
const OLD_AFTER_S = 180;
const MARKER_PX = 32;
const PIN_PX = 12;
const LEAFLET = '<a href="https://leafletjs.com">Leaflet</a>';
const DOTS = { driving: "#0b6b75", at: "#1d7a46", free: "#17212b", on_break: "#7c8894", off_shift: "#7c8894" };

/** @typedef {{id: string, name?: string, lon?: number, lat?: number, age_s?: number, doing?: keyof typeof DOTS}} Place */
/** @typedef {{id: string, name: string, lon: number, lat: number, group: string, chosen: boolean}} Pin */

/**
 * Draw the map in `place`, whose data say where the tiles are; undefined when the library cannot be had.
 * @param {HTMLElement} place
 */
export async function drawMap(place) {
  const told = place.dataset;
  try {
    await addScript(told.leaflet ?? "");
    if (told.mapKind === "vector") await addScript(told.protomaps ?? "");
  } catch {
    return undefined;
  }
  place.hidden = false;
  const L = library();
  const map = L.map(place, { attributionControl: false, worldCopyJump: true });
  L.control.attribution({ prefix: LEAFLET }).addTo(map);
  map.setMaxZoom(told.mapMaxZoom ? Number(told.mapMaxZoom) + 2 : 19);
  drawTiles(map, told);
  const bounds = told.mapBounds?.split(",").map(Number);
  if (bounds) {
    map.fitBounds([
      [bounds[1], bounds[0]],
      [bounds[3], bounds[2]],
    ]);
  } else {
    map.setView([20, 0], 2);
  }
  new ResizeObserver(() => map.invalidateSize()).observe(place);
  return map;
}

/** What the classic scripts leave behind. @returns {any} */
export function library() {
  return /** @type {any} */ (window).L;
}

/**
 * Technicians and doors on a map.
 * @param {any} map
 * @param {(job: string) => string} addressOf where a job is shown
 */
export function boardOn(map, addressOf) {
  const L = library();
  /** @type {Map<string, {marker: any, place: Place, heardAt: number}>} */
  const technicians = new Map();
  const pins = L.layerGroup().addTo(map);
  const canvas = L.canvas({ padding: 0.5 });
  /** @type {Pin[]} */
  let doors = [];
  let placed = false;

  /** @param {Place} place */
  function marker(place) {
    if (technicians.size >= MOST_MARKERS) {
      const color = DOTS[place.doing ?? "free"];
      return L.circleMarker([place.lat, place.lon], { renderer: canvas, radius: 6, color, fillOpacity: 0.9 });
    }
    const face = document.createElement("span");
    const icon = L.divIcon({ className: "moving", iconSize: [MARKER_PX, MARKER_PX], html: face });
    return L.marker([place.lat, place.lon], { icon, title: place.name, alt: place.name, zIndexOffset: 1000 });
  }

  /** @param {any} drawn @param {Place} place */
  function dress(drawn, place) {
    const face = drawn.getElement?.()?.querySelector?.("span");
    if (!face) return;
    face.className = `marker ${place.doing ?? ""}${(place.age_s ?? 0) > OLD_AFTER_S ? " old" : ""}`;
    face.textContent = [...(place.name ?? "")][0] ?? "";
  }

  function frame() {
    const chosen = doors.find((door) => door.chosen);
    const points = [...technicians.values()].map(({ place }) => [place.lat, place.lon]);
    const shown = [...points, ...(chosen ? [chosen] : doors).map((door) => [door.lat, door.lon])];
    if (shown.length) map.fitBounds(L.latLngBounds(shown).pad(0.15), { maxZoom: ZOOM + 1, animate: false });
  }
  map.on("dragstart", () => (placed = true));

  return {
    /** @param {Place[]} places */
    move(places) {
      for (const place of places) {
        const known = technicians.get(place.id);
        if (place.lat === undefined || place.lon === undefined) {
          known?.marker.remove();
          technicians.delete(place.id);
          continue;
        }
        const drawn = known?.marker ?? marker(place).bindTooltip(plain(place.name ?? ""), { direction: "top" });
        if (known) drawn.setLatLng([place.lat, place.lon]);
        else drawn.addTo(map);
        technicians.set(place.id, { marker: drawn, place, heardAt: performance.now() });
        dress(drawn, place);
      }
      if (!placed) frame();
      placed = true;
    },
    /** @param {Pin[]} found */
    pin(found) {
      doors = found;
      pins.clearLayers();
      for (const door of found) {
        const shape = document.createElement("span");
        shape.className = `pin ${door.group}${door.chosen ? " chosen" : ""}`;
        const icon = L.divIcon({ className: "", iconSize: [PIN_PX, PIN_PX], html: shape });
        L.marker([door.lat, door.lon], { icon, title: door.name, alt: door.name })
          .on("click", () => location.assign(addressOf(door.id)))
          .on("keypress", (/** @type {any} */ event) => {
            if (event.originalEvent.key === "Enter") location.assign(addressOf(door.id));
          })
          .addTo(pins);
      }
      if (!placed) frame();
    },
    /** Positions that nobody confirms grow old here too. */
    grow() {
      for (const { marker: drawn, place, heardAt } of technicians.values()) {
        dress(drawn, { ...place, age_s: (place.age_s ?? 0) + (performance.now() - heardAt) / 1000 });
      }
    },
    /** @param {string} id */
    show(id) {
      const known = technicians.get(id);
      if (known) map.setView(known.marker.getLatLng(), Math.max(map.getZoom(), ZOOM));
    },
  };
}

/** A name as text, never as markup. @param {string} text */
function plain(text) {
  const span = document.createElement("bdi");
  span.textContent = text;
  return span;
}

/** @param {any} map @param {DOMStringMap} told */
function drawTiles(map, told) {
  const attribution = told.mapAttribution ?? "";
  if (told.mapKind === "raster") {
    const options = { attribution, maxNativeZoom: Number(told.mapMaxZoom) };
    library().tileLayer(told.mapUrl ?? "", options).addTo(map);
  }
  if (told.mapKind !== "vector") return;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  /** @type {any} */
  let tiles;
  const draw = () => {
    tiles?.remove();
    tiles = /** @type {any} */ (window).protomapsL.leafletLayer({
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

/** @param {string} url */
function addScript(url) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });
}
