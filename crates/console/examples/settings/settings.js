const notice = document.querySelector("#session");
document.querySelector("keywright-keys").addEventListener("keywright-session-expired", () => {
  notice.hidden = false;
});
