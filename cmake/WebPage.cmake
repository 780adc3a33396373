# The page of `tessera serve`: web/build_page packs it (or the reason why it cannot) into one file, and
# serve/web_pack.cpp embeds that. Runs in every build, quick when nothing changed.
set(TESSERA_WEB_PACK ${CMAKE_BINARY_DIR}/web/page.pack)
add_custom_target(web_page
  COMMAND ${PROJECT_SOURCE_DIR}/web/build_page ${TESSERA_WEB_PACK}
  BYPRODUCTS ${TESSERA_WEB_PACK}
  COMMENT "The web page" VERBATIM)

# tessera_embed_web_page(TARGET SOURCE): SOURCE of TARGET embeds the pack.
function(tessera_embed_web_page target source)
  add_dependencies(${target} web_page)
  set_source_files_properties(${source} TARGET_DIRECTORY ${target} PROPERTIES
    OBJECT_DEPENDS ${TESSERA_WEB_PACK}
    COMPILE_DEFINITIONS "TESSERA_WEB_PACK=\"${TESSERA_WEB_PACK}\"")
endfunction()
