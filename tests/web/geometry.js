// What overlaps, sticks out of the window, or is wider than its box. A function that returns up to ten such faults.
() => {
  const faults = [], width = document.documentElement.clientWidth;
  const name = (element) => `${element.tagName}.${element.className || element.id} ${element.textContent.slice(0, 30)}`;
  const shown = (element) => element.checkVisibility({ visibilityProperty: true }) && element.getClientRects().length;
  const aside = (element) => element.closest('.visually-hidden, .skip, datalist, option, [inert]');
  const clips = (element) => getComputedStyle(element).overflowX !== 'visible';
  if (document.documentElement.scrollWidth > width) faults.push(`the page is ${document.documentElement.scrollWidth} wide`);
  const all = [...document.body.querySelectorAll('*')].filter((each) => shown(each) && !aside(each));
  const box = new Map(all.map((each) => [each, each.getBoundingClientRect()]));
  for (const each of all) {
    const { left, right } = box.get(each);
    let within = each.parentElement;
    while (within !== document.body && !clips(within)) within = within.parentElement;
    if (within === document.body && (left < -1 || right > width + 1)) faults.push(`outside the window: ${name(each)}`);
    if (!clips(each) && each.scrollWidth > each.clientWidth + 1 && each.clientWidth && getComputedStyle(each).display !== 'inline') {
      faults.push(`wider than its box: ${name(each)}`);
    }
  }
  for (const parent of all) {
    if (clips(parent) && !['grid', 'flex'].includes(getComputedStyle(parent).display)) continue;
    const children = [...parent.children].filter((each) => box.has(each)
      && !['absolute', 'fixed', 'sticky'].includes(getComputedStyle(each).position) && getComputedStyle(each).display !== 'inline');
    for (const [place, one] of children.entries()) for (const other of children.slice(place + 1, place + 8)) {
      const a = box.get(one), b = box.get(other);
      const x = Math.min(a.right, b.right) - Math.max(a.left, b.left), y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (x > 1 && y > 1) faults.push(`${name(one)} overlaps ${name(other)}`);
    }
  }
  return faults.slice(0, 10);
}
