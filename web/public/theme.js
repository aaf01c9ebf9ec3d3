// Sets the chosen theme before the first paint. A file of its own, as inline scripts are not allowed.
try {
  const theme = localStorage.getItem('questlake.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be closed to us; the system's theme applies then.
}
