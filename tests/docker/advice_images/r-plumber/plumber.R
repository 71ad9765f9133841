model <- readRDS("/opt/ml/code/model.rds")

#* Liveness
#* @get /ping
#* @serializer text
function(res) {
  res$status <- 200
  ""
}

#* Prediction
#* @post /invocations
#* @serializer unboxedJSON list(digits = 6)
function(req, res) {
  if (!grepl("^application/json", req$HTTP_CONTENT_TYPE)) {
    res$status <- 415
    return(list(error = "only application/json"))
  }
  tryCatch({
    rows <- jsonlite::fromJSON(req$postBody)
    list(predictions = I(unname(round(predict(model, rows), 4))))
  }, error = function(e) {
    res$status <- 400
    list(error = conditionMessage(e))
  })
}
