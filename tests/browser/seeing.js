// What tests of all pages ask of a page. Each function gives back words for what is wrong.
({
  async axe(tags, rules) {
    const only = rules.length ? { type: "rule", values: rules } : { type: "tag", values: tags };
    const found = await axe.run(document, { runOnly: only, resultTypes: ["violations"] });
    return found.violations.flatMap(({ id, nodes }) =>
      nodes.map((node) => `${id}: ${node.target} ${node.html.slice(0, 200)} ${node.failureSummary}`),
    );
  },

  open() {
    for (const one of document.querySelectorAll("details")) one.open = true;
  },

  // Twenty cards are looked at five times as long as four, and are of a kind.
  shorten(most) {
    for (const one of [...document.querySelectorAll("[data-card]")].slice(most)) one.remove();
  },

  wide() {
    const room = document.documentElement.clientWidth;
    const wide = document.documentElement.scrollWidth;
    if (wide <= room) return [];
    const sticking = [...document.body.querySelectorAll("*")].filter(
      (one) => one.checkVisibility() && one.getBoundingClientRect().right > room + 0.5,
    );
    const named = sticking.slice(0, 5).map((one) => `${one.tagName}.${one.className}`);
    return [`${wide} px where there is room for ${room}: ${named.join(", ")}`];
  },

  // WCAG 2.5.8: links within a sentence are excepted, and a label is as good as its box.
  small() {
    const controls = "a, button, summary, select, textarea, input:not([type=hidden]), [tabindex='0']";
    const isInSentence = (one) =>
      one.tagName === "A" &&
      one.closest("p, dd, li, td, th, figcaption") &&
      getComputedStyle(one).display === "inline";
    const isTicked = (one) => ["checkbox", "radio"].includes(one.type);
    return [...document.querySelectorAll(controls)]
      .filter((one) => one.checkVisibility({ visibilityProperty: true }))
      .filter((one) => !one.closest(".skip, .unseen") && !isInSentence(one))
      .map((one) => [one, (isTicked(one) && one.closest("label")) || one])
      .map(([one, target]) => [one, target.getBoundingClientRect()])
      .filter(([, box]) => box.width < 24 || box.height < 24)
      .map(([one, box]) => {
        const name = one.id || one.name || one.textContent.trim().slice(0, 40);
        return `${one.tagName} ${name}: ${Math.round(box.width)} × ${Math.round(box.height)}`;
      });
  },

  // Each control in turn takes the focus as after a key; what it looks like must change.
  unseen(most) {
    const stops = "a[href], button, summary, select, textarea, input:not([type=hidden]), [tabindex='0']";
    const looks = (one) => {
      const s = getComputedStyle(one);
      const around = [s.outlineStyle, s.outlineWidth, s.outlineColor, s.boxShadow, s.borderColor];
      return [...around, s.backgroundColor, s.textDecorationLine].join();
    };
    return [...document.querySelectorAll(stops)]
      .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled)
      .slice(0, most)
      .filter((one) => {
        document.activeElement?.blur();
        const before = looks(one);
        one.focus({ preventScroll: true, focusVisible: true });
        return document.activeElement === one && looks(one) === before;
      })
      .map((one) => `${one.tagName} ${one.id || one.textContent.trim().slice(0, 40)}`);
  },

  // A character that turns or hides what stands beside it belongs on no page; isolates do.
  bare() {
    const bad = /[\u202a-\u202e\u200b\u2060\ufeff\u00ad]/;
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
      const { data, parentElement } = walker.currentNode;
      if (bad.test(data)) found.push(`${parentElement.tagName}: ${JSON.stringify(data.slice(0, 80))}`);
    }
    return found;
  },

  // What could run, load or lead where none of our templates would.
  foreign() {
    const never = "iframe, object, embed, video, audio, style, base, meta[http-equiv], math, marquee";
    const loading = "script[src], link[href], form[action], button[formaction], input[formaction]";
    const at = (one) => ["src", "href", "formaction", "action"].map((n) => one.getAttribute(n)).find(Boolean);
    const isOwn = (one) => new URL(at(one), location.href).origin === location.origin;
    const runs = (one) =>
      one.getAttributeNames().some((name) => name.startsWith("on") || name === "style");
    const leads = (one) => !/^(https?:|mailto:|otpauth:|[/?#])/i.test(one.getAttribute("href"));
    const wrong = [
      ...document.querySelectorAll(never),
      ...document.querySelectorAll("script:not([src])"),
      ...[...document.querySelectorAll(loading)].filter((one) => !isOwn(one)),
      ...[...document.querySelectorAll("img")].filter((one) => !isOwn(one)),
      ...[...document.querySelectorAll("a[href]")].filter(leads),
      ...[...document.querySelectorAll("body, body *")].filter(runs),
    ];
    return wrong.map((one) => one.outerHTML.slice(0, 120));
  },

  // The sentences and words that are ours: not names, quotes, keys, codes.
  words() {
    const apart = "[translate=no], [lang]:not(html), kbd, bdi, script, time, code";
    const attributes = ["aria-label", "title", "placeholder", "alt"];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [document.title.replace(/ · Duyet$/, "")];
    while (walker.nextNode())
      if (!walker.currentNode.parentElement.closest(apart)) found.push(walker.currentNode.data);
    for (const one of document.querySelectorAll(attributes.map((name) => `[${name}]`).join()))
      if (!one.closest(apart)) found.push(...attributes.map((name) => one.getAttribute(name) ?? ""));
    return found.map((text) => text.trim()).filter(Boolean);
  },
})
