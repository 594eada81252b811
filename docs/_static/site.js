/* Marks what scrolls sideways, so that site.css can show in which direction it goes on. */
document.addEventListener("DOMContentLoaded", () => {
  const blocks = document.querySelectorAll("article pre, .pst-scrollable-table-container, div.formula, a:has(> img.wide)")
  const mark = block => {
    const hidden = block.scrollWidth - block.clientWidth
    block.classList.toggle("scrolls-on", hidden - block.scrollLeft > 1)
    block.classList.toggle("scrolls-back", hidden > 1 && block.scrollLeft > 1)
  }
  const sizes = new ResizeObserver(() => blocks.forEach(mark))
  for (const block of blocks) {
    block.addEventListener("scroll", () => mark(block), {passive: true})
    sizes.observe(block)
    if (block.firstElementChild) sizes.observe(block.firstElementChild)  // it can grow, and the block not
  }
})
