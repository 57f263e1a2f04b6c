// Passkeys: fetches the question, puts it to the authenticator, and sends the answer as an ordinary form.
"use strict";
(function () {
  const able = window.isSecureContext && "PublicKeyCredential" in window;

  function bytes(text) {
    return Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), function (c) { return c.charCodeAt(0); });
  }

  function text(buffer) {
    return btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }

  function ask(options) {
    options.challenge = bytes(options.challenge);
    if (options.user) options.user.id = bytes(options.user.id);
    for (const each of options.excludeCredentials || options.allowCredentials || []) each.id = bytes(each.id);
    const question = { publicKey: options };
    return options.user ? navigator.credentials.create(question) : navigator.credentials.get(question);
  }

  function written(credential) {
    const response = {};
    for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"])
      if (credential.response[name]) response[name] = text(credential.response[name]);
    return JSON.stringify({
      id: credential.id, rawId: text(credential.rawId), type: credential.type, response: response,
      clientExtensionResults: credential.getClientExtensionResults(),
    });
  }

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    const button = form.querySelector("button"), said = form.querySelector("[role=alert]");

    function say(words) {
      said.textContent = words;
      said.hidden = !words;
      button.disabled = false;
    }

    if (!able) say(form.dataset.unable);
    button.disabled = !able;
    form.addEventListener("submit", async function (event) {
      event.preventDefault();
      say("");
      button.disabled = true;
      try {
        const answer = await fetch(form.dataset.passkey, { method: "POST", body: new URLSearchParams(new FormData(form)) });
        if (answer.redirected) { location.assign(answer.url); return; }
        const told = await answer.json();
        if (!answer.ok) { say(told.error); return; }
        form.elements.answer.value = written(await ask(told));
        form.submit();
      } catch (error) {
        // The person changed their mind, took too long, or the device holds no passkey of ours; it does not say which.
        say(error.name === "InvalidStateError" ? form.dataset.held : form.dataset.failed);
      }
    });
    // A page kept for the way back starts anew.
    window.addEventListener("pageshow", function (event) { if (event.persisted) location.reload(); });
  }
})();
