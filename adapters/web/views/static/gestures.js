// Mouse, touch, pen and wheel on a viewer: pan, pinch, double click, and the edge between before and after.

const WHEEL_RATE = 0.0018;
const LINE_PX = 16;

/** Listen on `stage` and move `viewer`. */
export function gestures(stage, viewer) {
  const pointers = new Map();
  let sliding = false;
  let last = null;

  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.matches("input")) return;
    pointers.set(event.pointerId, event);
    last = null;
    sliding = pointers.size === 1 && (viewer.atEdge(event) || (event.pointerType !== "mouse" && !viewer.pannable && !viewer.side));
    if (sliding || viewer.pannable || pointers.size > 1) stage.setPointerCapture(event.pointerId);
    stage.focus({ preventScroll: true });
  });

  stage.addEventListener("pointermove", (event) => {
    stage.classList.toggle("at-edge", pointers.size === 0 && viewer.atEdge(event));
    const before = pointers.get(event.pointerId);
    if (!before) return;
    pointers.set(event.pointerId, event);
    if (pointers.size === 2) pinch();
    else if (sliding) viewer.slideTo(event);
    else if (viewer.pannable) viewer.pan(event.clientX - before.clientX, event.clientY - before.clientY);
  });

  /** Two fingers: their middle pans, their distance zooms. */
  function pinch() {
    const [one, two] = [...pointers.values()];
    const middle = { clientX: (one.clientX + two.clientX) / 2, clientY: (one.clientY + two.clientY) / 2 };
    const distance = Math.hypot(one.clientX - two.clientX, one.clientY - two.clientY);
    if (last) {
      viewer.pan(middle.clientX - last.middle.clientX, middle.clientY - last.middle.clientY);
      viewer.zoomTo(viewer.zoom * (distance / last.distance), viewer.pointOf(middle));
    }
    last = { middle, distance };
  }

  const end = (event) => {
    pointers.delete(event.pointerId);
    last = null;
    if (pointers.size === 0) sliding = false;
  };
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) stage.addEventListener(name, end);

  // Fitted, the picture can be dragged out to the desktop; zoomed in, dragging moves it.
  stage.addEventListener("dragstart", (event) => {
    if (viewer.pannable || sliding || viewer.atEdge(event)) event.preventDefault(); else pointers.clear();
  }, { capture: true });

  stage.addEventListener("dblclick", (event) => {
    if (!event.target.matches("input")) viewer.toggleZoom(viewer.pointOf(event));
  });

  // A page that is scrolled past must scroll on: the wheel zooms only where somebody has begun to look closer.
  stage.addEventListener("wheel", (event) => {
    const begun = event.ctrlKey || viewer.full || viewer.pannable || viewer.root.contains(document.activeElement);
    if (!begun || (event.deltaY > 0 && !viewer.pannable && !event.ctrlKey)) return;
    event.preventDefault();
    const distance = event.deltaY * (event.deltaMode === 1 ? LINE_PX : 1) * (event.ctrlKey ? 4 : 1);
    viewer.zoomTo(viewer.zoom * Math.exp(-distance * WHEEL_RATE), viewer.pointOf(event));
  }, { passive: false });
}
